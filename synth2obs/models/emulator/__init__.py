"""Labels → latent: with the decoder, the emulator of the grid."""
