/* Who a message goes to: one canonical spelling for a phone number or a business-scoped user id. */
#ifndef PR_CORE_ADDRESS_H
#define PR_CORE_ADDRESS_H

#include "base/attr.h"
#include "base/span.h"

#include <stdbool.h>
#include <stdint.h>

/* Canonical address: "+5511999990000" (E.164: '+' and 8 to 15 digits) or a user id "US.13491208655302741918". */
enum { PR_ADDRESS_MAX = 64 };

struct pr_address {
    char text[PR_ADDRESS_MAX + 1];
    uint8_t n;
    bool is_user_id; /* goes into `recipient`, not `to` */
};

/*
 * Reads an address as a record carries it: '+' and digits, with spaces, dots, dashes and parentheses tolerated, or a
 * user id (two capital letters, '.', 1 to 40 letters or digits). Brazilian mobiles (8 digits that start with 6 to 9
 * after the area code; landlines start with 2 to 5) without the ninth digit get it, Mexican "+521" becomes "+52": one
 * person has one spelling. False when it is neither; `out` is then unspecified. Any thread.
 */
bool pr_address_parse(struct pr_span text, struct pr_address *out) PR_MUST_CHECK;

/*
 * The same for what people write in files: a leading "00" is '+', and national numbers are completed with the calling
 * code of `country` (ISO 3166 two letters in any case, "" for none; the common ones are known); a number that already
 * has the code but no '+' gets only the '+'. On false `why` is a static sentence with the cure (scientific notation,
 * missing area code, …); else untouched.
 */
bool pr_address_import(struct pr_span text, struct pr_span country, struct pr_address *out,
                       const char **why) PR_MUST_CHECK;

/*
 * "+5511*****0000": what logs show. At most the first five and the last four characters stay, never with fewer than
 * four stars; bytes that are not printable ASCII become stars. Takes any bytes; writes at most PR_ADDRESS_MAX + 1 with
 * the NUL.
 */
void pr_address_mask(struct pr_span address, char out[PR_ADDRESS_MAX + 1]);

#endif
