"""The widgets of the main screen, one per file, and the base classes of widgets."""
