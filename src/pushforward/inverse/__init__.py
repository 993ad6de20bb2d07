"""Inverse problems: the unknowns of a simulator given its observations, with checks against the simulator."""

from .known_simulators import Ballistics, EightModes, RobotArm, Simulator, simulator
from .problem import Agreement, Inversion, Resimulation, fit

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
