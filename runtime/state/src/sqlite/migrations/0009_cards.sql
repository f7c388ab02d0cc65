-- The messages in which a question is shown, as JSON: they are to show its end, too.
ALTER TABLE clarifications ADD COLUMN cards TEXT;
