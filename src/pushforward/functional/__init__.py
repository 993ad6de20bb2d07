"""Functions of tensors: splines, logistic mixtures, root finding, fixed points. They import torch and no other folder."""
