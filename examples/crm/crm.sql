-- The data of the CRM: customers, their cases, and the summaries that agents write.
CREATE TABLE customers (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  email TEXT NOT NULL,
  phone TEXT NOT NULL,
  contract TEXT NOT NULL
) STRICT;

CREATE TABLE cases (
  id TEXT PRIMARY KEY,
  customer TEXT NOT NULL REFERENCES customers (id),
  opened TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('open', 'waiting', 'closed')),
  subject TEXT NOT NULL,
  notes TEXT NOT NULL,
  summary TEXT
) STRICT;

-- The SHA-256 digests of the API keys that are let in; this one is of `crm-demo-key-5d41c7f09b3e`.
CREATE TABLE api_keys (digest TEXT PRIMARY KEY) STRICT;

INSERT INTO api_keys VALUES
  ('a91704d368103ee7247b69f29743b752eb4528b7ef41c767845faf1dbe198768');

INSERT INTO customers VALUES
  ('K-17', 'Mara Lindqvist', 'mara.lindqvist@mail.example', '+46 8 555 0101', 'premium'),
  ('K-18', 'Jonas Okafor', 'jonas@okafor.example', '+49 30 555 0144', 'basic'),
  ('K-19', 'Bakery Sola AS', 'post@sola.example', '+47 51 555 019', 'business');

INSERT INTO cases VALUES
  ('C-1042', 'K-17', '2026-11-12', 'open', 'Parcel 88-204 is late',
   '12 Nov: the customer says that parcel 88-204 has not come. 17 Nov: the carrier found it in Malmo. 21 Nov: delivered, nine days late. The customer asks for the delivery fee back.',
   NULL),
  ('C-1043', 'K-18', '2026-11-15', 'waiting', 'Wrong name on the invoice',
   '15 Nov: the invoice names J. Okaford. 16 Nov: a corrected one was sent. Waiting for the customer to confirm.',
   NULL),
  ('C-1044', 'K-19', '2026-11-20', 'open', 'Second oven does not start',
   '20 Nov: the oven of order 5512 shows E7. A technician is asked for.',
   NULL),
  ('C-1051', 'K-17', '2026-11-21', 'open', 'Change of address',
   '21 Nov: the customer moves on 1 December and asks to change the address.',
   NULL);
