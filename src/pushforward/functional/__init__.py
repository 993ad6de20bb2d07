"""Pure functions of tensors: splines, logistic mixtures, root finding, fixed points. They import torch and nothing above."""
