"""Defaults, recipe, schedule, plan, configuration files and preferences."""
