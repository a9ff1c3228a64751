//! How a door ends a connection without an answer.

/// Ends the connection at once, as a reset does: the client cannot know whether its call had an effect.
///
/// It unwinds the task that serves this one connection, without a panic's message: an HTTP server has no other way to take
/// back a reply that a handler must return. Nothing is held while it does so.
pub(super) fn drop_connection() -> ! {
    std::panic::resume_unwind(Box::new("the sandbox drops this connection"))
}
