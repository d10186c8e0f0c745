"""The OAI-PMH client side: what a member sends, and how it is asked."""
