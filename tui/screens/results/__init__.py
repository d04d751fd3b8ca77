"""The sections of the results screen: one a file, each from an evaluation to lines."""
