-- The answers of a request's votes, as bytes, where payloads are kept. $1: request_id.
SELECT vote_id, body
FROM quorum.payloads
WHERE request_id = $1::uuid AND direction = 'out' AND vote_id IS NOT NULL;
