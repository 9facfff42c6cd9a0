-- Which provider vouched for a session, and for which client of it: another one has not. What was begun
-- before this was kept has neither, and ends.
ALTER TABLE sessions ADD COLUMN issuer TEXT;
ALTER TABLE sessions ADD COLUMN client_id TEXT;
