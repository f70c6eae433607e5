variable "mode" {
  description = "launch: workflows of one repository, by GitHub's OIDC. daemon: an EC2 instance that runs cml-runner daemon."
  type        = string
  default     = "launch"

  validation {
    condition     = contains(["launch", "daemon"], var.mode)
    error_message = "mode is launch or daemon."
  }
}

variable "repository" {
  description = "owner/name of the repository whose workflows may launch; of use in mode launch only."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$", var.repository))
    error_message = "repository is owner/name."
  }
}

variable "owner_id" {
  description = "GitHub's number of the owner, which subjects of newer repositories have in them; with repository_id or not at all."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^[0-9]*$", var.owner_id))
    error_message = "owner_id is a number."
  }
}

variable "repository_id" {
  description = "GitHub's number of the repository; with owner_id or not at all."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^[0-9]*$", var.repository_id))
    error_message = "repository_id is a number."
  }
}

variable "subjects" {
  description = "Which of its workflows, such as repo:acme/vision:environment:gpu; those of branches and pull requests if empty."
  type        = list(string)
  default     = []
}

variable "oidc_provider_arn" {
  description = "GitHub's OIDC provider of this account, if there is one (an account has at most one); made otherwise."
  type        = string
  default     = ""
}

variable "name" {
  description = "What the role and its policies are called, or begin with."
  type        = string
  default     = "cml-runner"
}

variable "owner" {
  description = "What the tag cml-runner:owner must say (owner/name, or the organization); any if empty."
  type        = string
  default     = ""
}

variable "regions" {
  description = "The only regions in which anything may be done; all if empty."
  type        = list(string)
  default     = []
}

variable "job_role_arn" {
  description = "The role of the instance profile that machines may be given (--instance-profile); none if empty."
  type        = string
  default     = ""
}

variable "reports_bucket" {
  description = "The bucket of reports (--to s3://BUCKET), with a prefix if there is one; none if empty."
  type        = string
  default     = ""
}

variable "doctor" {
  description = "Whether cml-runner doctor may read quotas and routes, and ask what this role may do."
  type        = bool
  default     = true
}

variable "security_group" {
  description = "Whether to make the group cml-runner, without inbound rules, which launches find by its name."
  type        = bool
  default     = true
}

variable "vpc_id" {
  description = "The network of that group; the default one if empty."
  type        = string
  default     = ""
}

variable "log_group" {
  description = "Whether to make a log group. cml-runner itself writes to none; a daemon's container or agent can."
  type        = bool
  default     = false
}

variable "interruption_queue" {
  description = "Whether to make a queue of EC2's notices. cml-runner does not read it; it asks EC2 with every look."
  type        = bool
  default     = false
}
