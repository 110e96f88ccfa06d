"""What runs in the build stage of an image: copied into the build context, it uses nothing of flowpack."""
