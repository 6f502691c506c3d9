export declare function pageFiles(directory: string): string[];
