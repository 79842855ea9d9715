"""Patches to the Storm schema: modules `patch_1`, `patch_2`, ... with a function `apply(store)`."""
