"""The feed for re-harvesters: each record in the forms that we give it, made once, when it has changed."""
