package domicile

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/jsii-runtime-go"

	"github.com/domicile-api/domicile/infra/access"
)

const (
	// receives is how often a message is tried before it is a dead letter.
	receives = 5
	// visibility is how long a receiver has, in seconds: six times what its function may take, as Lambda wants it.
	visibility = 6 * applySeconds
	// retention is how long a message waits, in seconds: 14 days, the longest there is.
	retention = 14 * 24 * 60 * 60
	// maxMessage is the largest message, in bytes: 1 MiB, the most there is.
	maxMessage = 1 << 20
)

// newQueues makes the queues of a region, at the destination of what is sent: events from all regions, and sealed messages from regions
// of the same jurisdiction, if there are any.
func newQueues(stack awscdk.Stack, d *Deployment, r Region, storage awskms.CfnKey) {
	newQueue(stack, d, r, events, access.EventsQueue, nil)
	if d.HasSealed(r) {
		newQueue(stack, d, r, sealed, access.SealedQueue, storage)
	}
}

// newQueue makes a queue with its dead letters. A queue without a key is encrypted by SQS's own: who sends to a queue with a customer's
// key must be let to decrypt with that key, and events come from regions that must be able to decrypt nothing here.
func newQueue(stack awscdk.Stack, d *Deployment, r Region, name string, store access.Store, key awskms.CfnKey) {
	id := map[string]string{events: "Events", sealed: "Sealed"}[name]
	dead := awssqs.NewCfnQueue(stack, jsii.String(id+"Dead"), queueProps(d, name+"-dead", key))
	dead.SetRedriveAllowPolicy(map[string]any{
		"redrivePermission": "byQueue", "sourceQueueArns": []string{d.queueARN(r, name)},
	})
	props := queueProps(d, name, key)
	props.VisibilityTimeout = jsii.Number(visibility)
	props.RedrivePolicy = map[string]any{"deadLetterTargetArn": dead.AttrArn(), "maxReceiveCount": receives}
	queue := awssqs.NewCfnQueue(stack, jsii.String(id), props)
	for _, q := range []awssqs.CfnQueue{dead, queue} {
		d.keep(q)
		classify(q, access.ClassOf(store))
		tag(q, TagSchema, Schema)
		if key == nil {
			exempt(q, exemption{"CKV_AWS_27", "encrypted by SQS's own key: senders to a customer's key must be let to decrypt with it, and these are " +
				"in other jurisdictions; what is REGIONAL in an event is sealed besides"})
		}
	}
	newQueuePolicy(stack, id+"Policy", queue, d.QueuePolicy(r, name))
	newQueuePolicy(stack, id+"DeadPolicy", dead, d.QueuePolicy(r, name+"-dead"))
}

func queueProps(d *Deployment, name string, key awskms.CfnKey) *awssqs.CfnQueueProps {
	props := &awssqs.CfnQueueProps{
		QueueName: jsii.String(d.queueName(name)),
		FifoQueue: true,
		// High throughput: limits hold for each message group.
		DeduplicationScope:     jsii.String("messageGroup"),
		FifoThroughputLimit:    jsii.String("perMessageGroupId"),
		MessageRetentionPeriod: jsii.Number(retention),
		MaximumMessageSize:     jsii.Number(maxMessage),
		// Each call says how long it waits.
		ReceiveMessageWaitTimeSeconds: jsii.Number(0),
	}
	if key == nil {
		props.SqsManagedSseEnabled = true
		return props
	}
	props.KmsMasterKeyId = key.AttrArn()
	props.KmsDataKeyReusePeriodSeconds = jsii.Number(300)
	return props
}

func newQueuePolicy(stack awscdk.Stack, id string, queue awssqs.CfnQueue, policy access.Policy) {
	awssqs.NewCfnQueuePolicy(stack, jsii.String(id), &awssqs.CfnQueuePolicyProps{
		Queues: texts(*queue.Ref()), PolicyDocument: document(policy),
	})
}

// senders returns the regions that may send to a queue, and what a sender sends to.
func (d *Deployment) senders(r Region, name string) ([]Region, access.Store) {
	switch name {
	case events:
		return d.Others(r), access.RemoteEvents
	case sealed:
		return d.Lawful(r), access.LawfulSealed
	default:
		return nil, "" // Dead letters come from SQS itself.
	}
}

// QueuePolicy returns the policy of a queue, named without the deployment, e.g. "sealed-dead". The only roles of other regions that it
// admits are those that send, for sending alone. What the region's own roles may do, their own policies say.
func (d *Deployment) QueuePolicy(r Region, name string) access.Policy {
	here := []string{d.queueARN(r, name)}
	statements := []access.Statement{{
		Sid: "DenyInsecureTransport", Effect: "Deny", Principal: map[string]any{"AWS": "*"}, Action: queueDataActions(), Resource: here,
		Condition: map[string]map[string][]string{"Bool": {"aws:SecureTransport": {"false"}}},
	}}
	if from, store := d.senders(r, name); len(from) > 0 {
		statements = append(statements, access.Statement{
			Sid: "AdmitSenders", Effect: "Allow", Principal: principals(accountsOf(from)),
			Action: access.AdmitActions(), Resource: here,
			Condition: map[string]map[string][]string{"ArnEquals": {"aws:PrincipalArn": d.roleARNs(from, store, access.Send)}},
		})
	}
	// Sealed messages, and dead letters of either kind, come from and go to this jurisdiction alone.
	if name != events {
		statements = append(statements, access.Statement{
			Sid: "DenyOtherJurisdictions", Effect: "Deny", Principal: map[string]any{"AWS": "*"}, Action: queueDataActions(), Resource: here,
			Condition: map[string]map[string][]string{
				"Null":            {"aws:PrincipalTag/" + TagJurisdiction: {"false"}},
				"StringNotEquals": {"aws:PrincipalTag/" + TagJurisdiction: {r.Jurisdiction}},
			},
		})
	} else {
		statements = append(statements, access.Statement{
			Sid: "DenyOthersToReceive", Effect: "Deny", Principal: map[string]any{"AWS": "*"}, Resource: here,
			Action: []string{"sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:PurgeQueue", "sqs:ReceiveMessage"},
			Condition: map[string]map[string][]string{
				"Null":            {"aws:PrincipalTag/" + TagRegion: {"false"}},
				"StringNotEquals": {"aws:PrincipalTag/" + TagRegion: {r.ID}},
			},
		})
	}
	return access.PolicyOf(statements...)
}

// queueDataActions are the actions that carry or touch messages.
func queueDataActions() []string {
	return []string{"sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:PurgeQueue", "sqs:ReceiveMessage", "sqs:SendMessage"}
}
