-- Which campaign asked for a vote; null when nobody did.
ALTER TABLE feedback ADD COLUMN campaign TEXT;
