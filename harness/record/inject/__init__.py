"""A folder to put in front of PYTHONPATH: its ``sitecustomize`` runs when Python starts."""
