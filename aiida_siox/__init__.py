"""AiiDA plugin for the structure and valence of amorphous silicon suboxides from Si K-edge XANES.

Nothing heavy is imported here: ``siox-bader`` runs on clusters that have neither AiiDA nor torch.
"""

__version__ = "0.1.0"
