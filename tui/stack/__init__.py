"""The layer stack widget: the tower of bricks, the table next to it, and the replay."""
