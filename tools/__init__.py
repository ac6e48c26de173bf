"""Programs that make or check what is committed; nothing that is shipped imports them."""
