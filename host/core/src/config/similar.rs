//! "Did you mean": the known word that is nearest to an unknown one.

/// The best of `words`, if it is near enough to be a slip of the finger.
pub(super) fn nearest<'w>(word: &str, words: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    let limit = (word.chars().count() / 3).clamp(1, 4);
    let graded = words
        .into_iter()
        .map(|known| (distance(word, known), known));
    graded
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, known)| known)
}

/// Insertions, deletions, substitutions and swaps of neighbours. Words longer
/// than 64 characters are like nothing.
fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.to_lowercase().replace('-', "_").chars().collect();
    let right: Vec<char> = right
        .chars()
        .map(|c| if c == '-' { '_' } else { c })
        .collect();
    if left.len().max(right.len()) > 64 {
        return usize::MAX;
    }
    let mut rows = vec![vec![0; right.len() + 1]; left.len() + 1];
    for i in 0..=left.len() {
        for j in 0..=right.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                step(&rows, &left, &right, i, j)
            };
        }
    }
    rows[left.len()][right.len()]
}

fn step(rows: &[Vec<usize>], left: &[char], right: &[char], i: usize, j: usize) -> usize {
    let differs = usize::from(left[i - 1] != right[j - 1]);
    let plain = (rows[i - 1][j] + 1)
        .min(rows[i][j - 1] + 1)
        .min(rows[i - 1][j - 1] + differs);
    let swapped = i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1];
    if swapped {
        plain.min(rows[i - 2][j - 2] + 1)
    } else {
        plain
    }
}
