package access

// Exception is a wildcard in a resource of a statement that grants something.
type Exception struct {
	// Sid is the statement's id, or the part that it begins with.
	Sid string
	// Resource is how the resource ends, from the wildcard's segment on.
	Resource string
	// Reason is why it cannot be narrower, and what else bounds it.
	Reason string
}

// Exceptions lists every wildcard that a resource may have. A test fails for a wildcard that is not here, and for a line that nothing uses.
func Exceptions() []Exception {
	return []Exception{
		{
			Sid: "PullRegistry", Resource: "*",
			Reason: "ecr:GetAuthorizationToken has no resource (Service Authorization Reference, Amazon ECR); the token opens only what " +
				"PullImage names",
		},
		{
			Sid: "WriteLogs", Resource: ":log-stream:*",
			Reason: "Lambda and ECS choose the names of log streams when an instance starts; the log group is the process's own",
		},
		{
			Sid: "FollowStreamList", Resource: "*",
			Reason: "dynamodb:ListStreams has no resource (Service Authorization Reference, Amazon DynamoDB); Lambda demands it of the role of a " +
				"stream's function; it shows names of streams, and FollowRegionalStream says which may be read",
		},
		{
			Sid: "EncryptLawfulTenantsKeys", Resource: ":key/*",
			Reason: "KMS chooses key ids, and CloudFormation passes none between regions; the condition on kms:ResourceAliases names the key, " +
				"the region and account stand in the ARN, and the key's own policy names the role",
		},
		{
			Sid: "SendThroughStorageKey", Resource: ":key/*",
			Reason: "as EncryptLawfulTenantsKeys; and only SQS of that region may ask for it",
		},
	}
}
