"""Everything that passes between a screen and the engine: commands one way, events the other.

Layers are always listed in execution order, input first. Owners are named by their index in
`StackInfo.owners`, so that a mask of ResNet-152 stays below a kilobyte.
"""
