package access

// Actions returns the IAM actions of a use of a store; nil where the use means nothing for the store. None has a wildcard.
func Actions(s Store, u Use) []string {
	switch s {
	case Directory, RegionalTable, KeysTable, ReplicaTable, SettingsTable:
		return tableActions(s, u)
	case RegionalStream:
		if u == Follow {
			return []string{"dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"}
		}
	case StreamList:
		if u == Follow {
			return []string{"dynamodb:ListStreams"}
		}
	case TenantsKey, LawfulTenantsKeys:
		return keyActions(u)
	case EventsQueue, EventsDead, SealedQueue, SealedDead, RemoteEvents, LawfulSealed, RelayFailures:
		return queueActions(u)
	default:
		return otherActions(s, u)
	}
	return nil
}

func tableActions(s Store, u Use) []string {
	switch {
	case u == Read:
		// The adapter looks at a table, its expiry and its tags when it opens it.
		return []string{"dynamodb:DescribeTable", "dynamodb:DescribeTimeToLive", "dynamodb:GetItem", "dynamodb:ListTagsOfResource", "dynamodb:Query"}
	case u == Walk:
		return []string{"dynamodb:Scan"}
	case u == Write && s != Directory:
		// A transaction needs the rights of its parts.
		return []string{"dynamodb:ConditionCheckItem", "dynamodb:DeleteItem", "dynamodb:PutItem"}
	case u == WriteOwn && s == Directory:
		// Items one by one: a global table has no transactions across regions.
		return []string{"dynamodb:DeleteItem", "dynamodb:PutItem"}
	default:
		return nil
	}
}

func keyActions(u Use) []string {
	switch u {
	case Encrypt:
		return []string{"kms:DescribeKey", "kms:Encrypt"}
	case Decrypt:
		return []string{"kms:Decrypt", "kms:DescribeKey"}
	default:
		return nil
	}
}

func queueActions(u Use) []string {
	switch u {
	case Send:
		// The adapter looks at a queue and its tags when it opens it.
		return []string{"sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:ListQueueTags", "sqs:SendMessage"}
	case Receive:
		return []string{
			"sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:ListQueueTags", "sqs:ReceiveMessage",
		}
	case Operate:
		return []string{
			"sqs:CancelMessageMoveTask", "sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:GetQueueUrl",
			"sqs:ListMessageMoveTasks", "sqs:ListQueueTags", "sqs:ReceiveMessage", "sqs:SendMessage", "sqs:StartMessageMoveTask",
		}
	default:
		return nil
	}
}

// otherActions are of stores with one or two uses each.
func otherActions(s Store, u Use) []string {
	return map[Store]map[Use][]string{
		// Who may not list a bucket is not told whether an object is missing or forbidden.
		Snapshots: {Read: {"s3:GetObject", "s3:ListBucket"}, Write: {"s3:PutObject"}},
		RouteKey:  {Read: {"secretsmanager:GetSecretValue"}},
		PeerKey:   {Read: {"secretsmanager:GetSecretValue"}},
		Topology:  {Read: {"ssm:GetParameter"}},
		Image:     {Pull: {"ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"}},
		Registry:  {Pull: {"ecr:GetAuthorizationToken"}},
		Logs:      {Write: {"logs:CreateLogStream", "logs:PutLogEvents"}},
	}[s][u]
}

// StorageUse is how a process comes to the key that encrypts a region's stores at rest: only through the services that keep them.
type StorageUse struct {
	// Services are the AWS services that may call KMS for the process, e.g. "dynamodb".
	Services []string
	Actions  []string
}

// storedBy returns the service that encrypts a store with the region's storage key; empty if none does. The directory and the events
// queues are encrypted by AWS's own keys, see Exceptions.
func storedBy(s Store) string {
	switch s {
	case RegionalTable, KeysTable, ReplicaTable, SettingsTable:
		return "dynamodb"
	case SealedQueue, SealedDead:
		return "sqs"
	case Snapshots:
		return "s3"
	case RouteKey, PeerKey:
		return "secretsmanager"
	default:
		return ""
	}
}

// Storage returns a process's use of its own region's storage key; no services if it has none.
func Storage(p Process) StorageUse {
	var services []string
	writes := false
	for _, g := range Grants(p) {
		by := storedBy(g.Store)
		if by == "" {
			continue
		}
		services = append(services, by)
		for _, u := range g.Uses {
			writes = writes || u == Write || u == Send || u == Operate
		}
	}
	actions := []string{"kms:Decrypt", "kms:DescribeKey"}
	if writes {
		actions = append(actions, "kms:Encrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:ReEncryptTo")
	}
	return StorageUse{Services: unique(services), Actions: actions}
}

// AdmitActions are what the policy of a queue admits senders of other regions to. SQS takes the other actions of a sender from its own account
// alone (SQS Developer Guide, "Amazon SQS API permissions").
func AdmitActions() []string {
	return []string{"sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:SendMessage"}
}

// SendSealedActions are what a sender needs of the storage key of the queue's region, through SQS alone (SQS Developer Guide, "Key
// management": a producer needs both).
func SendSealedActions() []string { return []string{"kms:Decrypt", "kms:GenerateDataKey"} }
