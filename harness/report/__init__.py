"""An alignment for people and for files. Reports read results; they compute none."""
