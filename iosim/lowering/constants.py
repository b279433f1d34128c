"""Numbers of a program that are known when it is built, which its kernels read from memory of their own."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Constants:
    """Arrays of constants by name; equal ones are one."""

    arrays: dict[str, tuple[str, tuple[float, ...]]] = field(default_factory=dict)

    def name(self, wanted: str, dtype: str, values: tuple[float, ...]) -> str:
        """The name of the array with these values."""
        entry = (dtype, values)
        for name, found in self.arrays.items():
            if found == entry:
                return name
        unique, times = wanted, 1
        while unique in self.arrays:
            times += 1
            unique = f"{wanted}_{times}"
        self.arrays[unique] = entry
        return unique
