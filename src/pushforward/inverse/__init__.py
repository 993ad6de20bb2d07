"""Inverse problems: the unknowns of a simulator given its observations, with checks against the simulator."""

from .problem import Agreement, Inversion, Resimulation, fit
from .simulators import Ballistics, EightModes, RobotArm, Simulator, simulator

__all__ = [
    "Agreement",
    "Ballistics",
    "EightModes",
    "Inversion",
    "Resimulation",
    "RobotArm",
    "Simulator",
    "fit",
    "simulator",
]
