"""From and to the formats of others: specs and NumPy arrays on our side, under the names of :mod:`peephole.weights`."""
