"""From trees to a model that the site answers with: snapshots, trainings, the gate, and serving."""
