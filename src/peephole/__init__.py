"""Peephole: recurrent networks you can see inside."""
