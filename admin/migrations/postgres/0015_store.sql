-- What the store is known by to gateways: drawn when it is opened for the first time.
ALTER TABLE catalog_state ADD COLUMN store TEXT;
