"""Speed, as ratios taken side by side in one run; nothing here is asserted by the tests."""
