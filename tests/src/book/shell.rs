//! Parser for the commands in a shell text, as far as a page or a workflow needs it: quotes, substitutions,
//! here-documents, redirections, assignments and the shell's keywords. Values that are known at run time only become
//! `1`.

use std::path::Path;

use super::NAMES;

/// Words before a command that are shell keywords, or run the following command.
const BEFORE: [&str; 16] = [
    "if", "then", "else", "elif", "while", "until", "do", "!", "{", "time", "sudo", "env", "exec", "nohup",
    "command", "xargs",
];

/// Returns the commands of this program in a text, each as its words.
#[must_use]
pub fn ours(text: &str) -> Vec<Vec<String>> {
    let is_ours = |words: &Vec<String>| {
        let name = Path::new(&words[0]).file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| NAMES.contains(&name))
    };
    commands(text).into_iter().filter(is_ours).collect()
}

/// Returns all commands of a text.
#[must_use]
pub fn commands(text: &str) -> Vec<Vec<String>> {
    let mut lexer = Lexer { rest: text.chars().collect(), ..Lexer::default() };
    lexer.run();
    lexer.commands
}

#[derive(Default)]
struct Lexer {
    rest: Vec<char>,
    at: usize,
    commands: Vec<Vec<String>>,
    words: Vec<String>,
    word: Option<String>,
    /// The next word is a file, or the end of a here-document.
    redirects: Option<Redirection>,
    /// Ends of here-documents that begin with the next line.
    awaited: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Redirection {
    File,
    Document,
}

impl Lexer {
    fn run(&mut self) {
        while let Some(letter) = self.next() {
            match letter {
                '\\' => match self.next() {
                    Some('\n') | None => {}
                    Some(other) => self.push(other),
                },
                '\'' => {
                    let quoted = self.until('\'');
                    self.push_all(&quoted);
                }
                '"' => self.double_quoted(),
                '#' if self.word.is_none() => {
                    while self.peek().is_some_and(|letter| letter != '\n') {
                        self.at += 1;
                    }
                }
                '$' => self.dollar(),
                '`' => {
                    let inside = self.until('`');
                    self.nested(&inside);
                }
                '>' | '<' => self.redirection(letter),
                ' ' | '\t' => self.end_word(),
                ';' | '&' | '|' | '(' | ')' => self.end_command(),
                '\n' => {
                    self.end_command();
                    self.documents();
                }
                other => self.push(other),
            }
        }
        self.end_command();
    }

    fn peek(&self) -> Option<char> {
        self.rest.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let letter = self.peek();
        self.at += 1;
        letter
    }

    fn push(&mut self, letter: char) {
        self.word.get_or_insert_default().push(letter);
    }

    fn push_all(&mut self, text: &str) {
        self.word.get_or_insert_default().push_str(text);
    }

    fn until(&mut self, end: char) -> String {
        let mut text = String::new();
        while let Some(letter) = self.next().filter(|letter| *letter != end) {
            text.push(letter);
        }
        text
    }

    fn double_quoted(&mut self) {
        self.push_all("");
        while let Some(letter) = self.next().filter(|letter| *letter != '"') {
            match letter {
                '\\' => {
                    let next = self.next();
                    self.word.get_or_insert_default().extend(next.filter(|next| *next != '\n'));
                }
                '$' => self.dollar(),
                '`' => {
                    let inside = self.until('`');
                    self.nested(&inside);
                }
                other => self.push(other),
            }
        }
    }

    fn dollar(&mut self) {
        match self.peek() {
            Some('(') => {
                self.at += 1;
                let inside = self.until_closed('(', ')');
                if !inside.starts_with('(') {
                    return self.nested(&inside);
                }
            }
            Some('{') => {
                self.at += 1;
                let _ = self.until_closed('{', '}');
            }
            Some(first) if first.is_alphanumeric() || "_?!@*#$-".contains(first) => {
                self.at += 1;
                while first.is_alphabetic() && self.peek().is_some_and(|it| it.is_alphanumeric() || it == '_')
                {
                    self.at += 1;
                }
            }
            _ => return self.push('$'),
        }
        self.push('1');
    }

    fn until_closed(&mut self, open: char, close: char) -> String {
        let mut text = String::new();
        let mut depth = 1;
        while let Some(letter) = self.next() {
            depth += i32::from(letter == open) - i32::from(letter == close);
            if depth == 0 {
                break;
            }
            text.push(letter);
        }
        text
    }

    fn nested(&mut self, text: &str) {
        self.commands.extend(commands(text));
        self.push('1');
    }

    fn redirection(&mut self, first: char) {
        // The word directly before is a file descriptor.
        if self.word.as_ref().is_some_and(|word| word.chars().all(|letter| letter.is_ascii_digit())) {
            self.word = None;
        }
        self.end_word();
        let mut operator = String::from(first);
        while let Some(letter @ ('>' | '<' | '&' | '-' | '|')) = self.peek() {
            operator.push(letter);
            self.at += 1;
        }
        let is_document = operator == "<<" || operator == "<<-";
        self.redirects = Some(if is_document { Redirection::Document } else { Redirection::File });
    }

    fn end_word(&mut self) {
        let Some(word) = self.word.take() else { return };
        match self.redirects.take() {
            Some(Redirection::File) => {}
            Some(Redirection::Document) => self.awaited.push(word),
            None => self.words.push(word),
        }
    }

    fn end_command(&mut self) {
        self.end_word();
        let words = std::mem::take(&mut self.words);
        let is_assignment = |word: &str| {
            let name = word.split_once('=').map_or("", |(name, _)| name);
            !name.is_empty() && name.chars().all(|letter| letter.is_alphanumeric() || letter == '_')
        };
        let command: Vec<String> = words
            .into_iter()
            .skip_while(|word| BEFORE.contains(&word.as_str()) || is_assignment(word))
            .collect();
        if !command.is_empty() {
            self.commands.push(command);
        }
    }

    fn documents(&mut self) {
        for end in std::mem::take(&mut self.awaited) {
            while self.at < self.rest.len() {
                let line = self.until('\n');
                if line.trim() == end {
                    break;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Vec<String> {
        commands(text).iter().map(|words| words.join("|")).collect()
    }

    #[test]
    fn commands_are_found_wherever_a_shell_would_find_them() {
        assert_eq!(said("A=1 cml ci; if ! cml-pr 'a b'; then x; fi"), ["cml|ci", "cml-pr|a b", "x", "fi"]);
        assert_eq!(said("x \\\n  --y \"z $(cml ci)\" # cml pr"), ["cml|ci", "x|--y|z 1"]);
        assert_eq!(said("cat > a <<'END'\ncml pr\nEND\ncml ci 2>&1 | tee b"), ["cat", "cml|ci", "tee|b"]);
        assert_eq!(
            said("cml-runner daemon & sudo cml-runner ls > \"$A/b\""),
            ["cml-runner|daemon", "cml-runner|ls"]
        );
        assert_eq!(ours("echo cml; /usr/bin/cml-report x"), [["/usr/bin/cml-report", "x"]]);
    }
}
