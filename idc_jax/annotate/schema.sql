-- Everything is appended; the triggers refuse whatever would change or delete a row.
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);

CREATE TABLE IF NOT EXISTS rounds (
  round INTEGER PRIMARY KEY,
  kind TEXT NOT NULL,
  time REAL NOT NULL,
  -- Before the long column, so that reading the count does not read all the questions.
  count INTEGER NOT NULL,
  questions TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS answers (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT,
  client_id TEXT NOT NULL UNIQUE,
  round INTEGER NOT NULL REFERENCES rounds (round),
  position INTEGER NOT NULL,
  annotator TEXT NOT NULL,
  choice INTEGER NOT NULL,
  seconds REAL NOT NULL,
  undoes TEXT UNIQUE,
  time REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS answers_by_question ON answers (round, position, annotator);

CREATE TABLE IF NOT EXISTS "groups" (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT,
  key TEXT NOT NULL,
  id INTEGER NOT NULL,
  name TEXT NOT NULL,
  exemplar INTEGER NOT NULL,
  time REAL NOT NULL
);

-- The answers that count: not reversed, and each person's latest to each question. (With max(),
-- SQLite takes the other columns from the row that holds the maximum.)
CREATE VIEW IF NOT EXISTS live AS
SELECT max(sequence) AS sequence, client_id, round, position, annotator, choice, seconds,
  undoes, time
FROM answers
WHERE undoes IS NULL
  AND client_id NOT IN (SELECT undoes FROM answers WHERE undoes IS NOT NULL)
GROUP BY round, position, annotator;

CREATE TRIGGER IF NOT EXISTS answers_stay BEFORE DELETE ON answers
BEGIN SELECT raise(ABORT, 'answers are append-only'); END;
CREATE TRIGGER IF NOT EXISTS answers_are_final BEFORE UPDATE ON answers
BEGIN SELECT raise(ABORT, 'answers are append-only'); END;
CREATE TRIGGER IF NOT EXISTS rounds_stay BEFORE DELETE ON rounds
BEGIN SELECT raise(ABORT, 'questions are frozen'); END;
CREATE TRIGGER IF NOT EXISTS rounds_are_frozen BEFORE UPDATE ON rounds
BEGIN SELECT raise(ABORT, 'questions are frozen'); END;
