"""The tripwires themselves, without a stack."""
