/* Ravine for C, and for languages that call C: exported models and training steps are loaded, predict, train
 * and are saved. A stable interface: what stands here keeps its meaning in all versions of one SOVERSION.
 * (`ravine/ravine.h` is C++, so this header has a name of its own.)
 *
 * Functions that return int give 0 for success. Others give NULL for a failure. ravine_last_error() then says
 * what was wrong. No function throws or exits, and all may be called from any thread. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

typedef struct ravine_model ravine_model;
typedef struct ravine_step ravine_step;
typedef struct ravine_arrays ravine_arrays; /* the outputs of a prediction */

enum ravine_dtype {
  RAVINE_FLOAT32 = 0,
  RAVINE_FLOAT64 = 1,
  RAVINE_INT32 = 2,
  RAVINE_INT64 = 3,
  RAVINE_UINT8 = 4,
  RAVINE_BOOL = 5
};

/* Row-major memory: of the caller for inputs, of a ravine_arrays for outputs. */
typedef struct ravine_tensor {
  const void* data;
  const int64_t* shape;
  int32_t rank;
  int32_t dtype;
} ravine_tensor;

/* "0.1.0" */
const char* ravine_version(void);
/* What the newest failure in this thread was; valid until the next call in it. */
const char* ravine_last_error(void);
/* How many threads a prediction or step may use: 1 to 1024. */
int ravine_set_num_threads(int threads);

/* A model of a file that rv.export wrote. */
ravine_model* ravine_model_load(const char* path);
/* The outputs for a batch; threads may predict with one model at once. */
ravine_arrays* ravine_model_predict(const ravine_model* model, const ravine_tensor* inputs, size_t n_inputs);
/* The same into memory of the caller: `sizes` are bytes, which have to be those of the outputs. */
int ravine_model_predict_into(const ravine_model* model, const ravine_tensor* inputs, size_t n_inputs,
                              void* const* outputs, const size_t* sizes, size_t n_outputs);
void ravine_model_free(ravine_model* model);

size_t ravine_arrays_count(const ravine_arrays* arrays);
ravine_tensor ravine_arrays_get(const ravine_arrays* arrays, size_t index); /* zeros beyond the count */
void ravine_arrays_free(ravine_arrays* arrays);

/* A training step of a file that rv.export wrote. */
ravine_step* ravine_step_load(const char* path);
/* Trains on a batch: the model's inputs, then the targets. `loss` may be NULL. */
int ravine_step_train(ravine_step* step, const ravine_tensor* batch, size_t n_arrays, double* loss);
/* The model that the step trains; it sees every later step, and is freed by itself. */
ravine_model* ravine_step_model(const ravine_step* step);
/* rv.load_step and ravine_step_load go on from the file, which is replaced as a whole. */
int ravine_step_save(const ravine_step* step, const char* path);
void ravine_step_free(ravine_step* step);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif
