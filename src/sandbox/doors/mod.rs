//! The doors into the sandbox: each translates from and to the model, and decides nothing.
