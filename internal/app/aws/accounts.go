package aws

import (
	"fmt"
	"strings"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/queue/sqsqueue"
)

// accounts are the accounts of the regions, where each has one of its own; empty: all regions are in one.
type accounts map[ident.RegionID]string

// accountDigits is how many digits the id of an account has.
const accountDigits = 12

func parseAccounts(text string) (accounts, error) {
	all := make(accounts)
	if text == "" {
		return all, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		region, account, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok || region == "" || len(account) != accountDigits || strings.Trim(account, "0123456789") != "" {
			return nil, fmt.Errorf("accounts are listed as region=account, an account having %d digits: %q", accountDigits, part)
		}
		all[ident.RegionID(region)] = account
	}
	return all, nil
}

// key is how a key of a region is named: by its alias in the own account, by its ARN in another.
func (a accounts) key(region ident.RegionID, alias string) string {
	if account, apart := a[region]; apart {
		return "arn:aws:kms:" + string(region) + ":" + account + ":" + alias
	}
	return alias
}

// queue is how a queue of a region is found: by its name in the own account, by its address in another.
func (a accounts) queue(region ident.RegionID, cfg sqsqueue.Config) sqsqueue.Config {
	if account, apart := a[region]; apart {
		cfg.URL, cfg.Name = "https://sqs."+string(region)+".amazonaws.com/"+account+"/"+cfg.Name, ""
	}
	return cfg
}
