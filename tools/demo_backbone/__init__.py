"""The program that made the demo backbone: it distils an ImageNet model into a ResNet-18.

It is not part of the app or of the wheel, because it needs packages that the app does not need. See
`python -m tools.demo_backbone --help`. The README in this folder lists the sources, their licences
and the measured results.
"""
