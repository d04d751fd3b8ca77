"""Drawing primitives: styled lines, themes, plots and layouts, without knowledge of a run."""
