-- See schema/functions/claim.sql. The lane reads the columns by their place.
select ord, verdict, reason, until, contact, locale, attempt, tries, resends, expires_ms, known_topic, known_part, known_off
from postrider.claim_v1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25,
                        $26, $27, $28, $29, $30, $31, $32, $33, $34)
