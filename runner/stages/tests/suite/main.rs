//! The stages as the runner meets them: through the registry, with scripted engines and a job in memory.
