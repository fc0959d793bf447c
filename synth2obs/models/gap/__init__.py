"""What a survey sees and the morphed grid does not say."""
