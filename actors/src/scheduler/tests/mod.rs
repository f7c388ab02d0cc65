//! What schedules mean, compared with another way to find it out.

mod dst;
mod kit;
mod plans;
mod reference;
mod times;
