package aws

import (
	"testing"

	"github.com/domicile-api/domicile/internal/queue/sqsqueue"
)

func TestAccounts(t *testing.T) {
	t.Parallel()
	one, err := parseAccounts("")
	if err != nil {
		t.Fatal(err)
	}
	many, err := parseAccounts("eu-central-1=111122223333, us-east-1=444455556666")
	if err != nil {
		t.Fatal(err)
	}
	const alias = "alias/domicile-tenants"
	if got := one.key("eu-central-1", alias); got != alias {
		t.Errorf("in one account: %s", got)
	}
	if got := many.key("us-east-1", alias); got != "arn:aws:kms:us-east-1:444455556666:alias/domicile-tenants" {
		t.Errorf("in its own: %s", got)
	}
	q := many.queue("eu-central-1", sqsqueue.Config{Name: "domicile-events.fifo"})
	if q.URL != "https://sqs.eu-central-1.amazonaws.com/111122223333/domicile-events.fifo" || q.Name != "" {
		t.Errorf("a queue in another account: %q %q", q.URL, q.Name)
	}
	if q := one.queue("eu-central-1", sqsqueue.Config{Name: "domicile-events.fifo"}); q.URL != "" || q.Name != "domicile-events.fifo" {
		t.Errorf("a queue in the own account: %q %q", q.URL, q.Name)
	}
	for _, bad := range []string{"eu-central-1", "eu-central-1=123", "=111122223333", "eu-central-1=11112222333x"} {
		if _, err := parseAccounts(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
