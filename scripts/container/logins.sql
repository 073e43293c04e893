-- One login for each process, a member of the role that `custody-server migrate --roles` made.
-- May be run again: then it sets the passwords anew.
\getenv api_password API_PASSWORD
\getenv signer_password SIGNER_PASSWORD
\getenv worker_password WORKER_PASSWORD

SELECT format('CREATE ROLE %I LOGIN IN ROLE %I', login, 'custody_' || login)
FROM (VALUES ('api'), ('signer'), ('worker')) AS wanted (login)
WHERE login NOT IN (SELECT rolname FROM pg_roles)
\gexec

ALTER ROLE api PASSWORD :'api_password';
ALTER ROLE signer PASSWORD :'signer_password';
ALTER ROLE worker PASSWORD :'worker_password';
