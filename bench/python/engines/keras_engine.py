from __future__ import annotations

import os
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import tensorflow as tf
from keras import layers

from ..workloads import Workload


def modes(workload: Workload) -> list[str]:
    if workload.is_update or workload.is_sequential or workload.is_table or workload.is_trial:
        return []
    return ["tf.function"] if workload.inference else ["train_on_batch"]


def version() -> str:
    return f"{keras.__version__} on TensorFlow {tf.__version__}"


def conv_block(x, channels: int, size: int = 3, stride: int = 1, relu: bool = True):
    x = layers.Conv2D(channels, size, stride, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    return layers.ReLU()(x) if relu else x


def build(workload: Workload) -> keras.Model:
    if workload.net == "mlp":
        x = inputs = keras.Input((workload.sizes[0],))
        for size in workload.sizes[1:-1]:
            x = layers.Dense(size)(x)
            x = layers.BatchNormalization()(x) if workload.batch_norm else x
            x = layers.ReLU()(x)
        return keras.Model(inputs, layers.Dense(workload.sizes[-1])(x))
    _, channels, height, width = workload.input_shape
    x = inputs = keras.Input((height, width, channels))
    if workload.net == "lenet":
        for filters in (32, 64):
            x = layers.MaxPooling2D()(conv_block(x, filters))
        x = layers.Dense(128, activation="relu")(layers.Flatten()(x))
        return keras.Model(inputs, layers.Dense(10)(x))
    w = workload.width
    x = conv_block(x, w)
    for filters in (w, 2 * w, 4 * w, 8 * w):
        for block in range(2):
            stride = 2 if block == 0 and filters != w else 1
            shortcut = conv_block(x, filters, 1, stride, relu=False) if stride == 2 else x
            y = conv_block(conv_block(x, filters, stride=stride), filters, relu=False)
            x = layers.ReLU()(layers.Add()([y, shortcut]))
    return keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)))


def prepare(workload: Workload, mode: str, threads: int) -> Callable[[], float]:
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    keras.utils.set_random_seed(0)
    model = build(workload)
    if workload.optimizer == "adam":
        optimizer = keras.optimizers.Adam(1e-3)
    else:
        optimizer = keras.optimizers.SGD(0.01, momentum=0.9, nesterov=True)
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    x, y = workload.data()
    if workload.is_convolutional:
        x = x.transpose(0, 2, 3, 1).copy()
    if workload.inference:
        forward = tf.function(lambda batch: model(batch, training=False))
        batch = tf.constant(x)
        return lambda: float(forward(batch)[0, 0])
    return lambda: float(model.train_on_batch(x, y))
