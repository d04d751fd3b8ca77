"""How the demo backbone was made: distillation of an ImageNet model into ResNet-18.

A program beside the data, not part of the app: it needs packages that the app does not, and is
left out of the wheel. `python -m tools.demo_backbone --help`; the README beside this file says
what goes in, under which licence, and what came out.
"""
