"""The book of experiments: what courses and papers say of training, tried with Ravine.

A chapter is a module with a docstring, which is the prose of its page, and three functions:

- `experiment(fast, seed)` trains and returns what it measured, a dict;
- `claims(found)` holds that against what the sources say, a list of `Claim`;
- `draw(figure, found)` draws it with matplotlib.
"""

CHAPTERS = (
    "ravines",
    "rates",
    "minibatches",
    "initialisation",
    "inputs",
    "adam",
    "batchnorm",
    "saddles",
    "second_order",
    "strategies",
)
