"""Hostile values in every string field: no 500, nothing executed, nothing outside its folder, nothing left behind."""
